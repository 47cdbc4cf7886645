"""Operators as the console shows them. Their accounts are those of `auth_user`; there is no table of their own."""

from typing import ClassVar

from django.contrib.auth.models import User


class Operator(User):
    """An operator's account. It is never deleted: the audit trail and approvals name it."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("manage_operator", "Can remove and restore operators, end their sessions and change their groups"),
            ("manage_superuser", "Can do so with superusers"),
        ]
        verbose_name = "operator"
