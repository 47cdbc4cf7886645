"""The shape of the code, as far as import-linter's contracts do not state it (`make lint` runs those)."""

import ast
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.broken_rules.rules import BREAKAGES

PACKAGES = ("installations", "tokens", "flowlu_admin")
ROOT = Path(__file__).resolve().parents[2]
# (file, function, imported module): why it cannot be at the top.
LOCAL_IMPORTS = {
    (
        "flowlu_admin/restoring/__main__.py",
        "main",
        "flowlu_admin.restoring.inspection",
    ): "models, once Django is set up",
    ("flowlu_admin/apps.py", "ready", "flowlu_admin"): "its settings are there only once Django is set up",
    ("flowlu_admin/apps.py", "ready", "flowlu_admin.checks"): "settings and models are there only once apps are ready",
    (
        "flowlu_admin/apps.py",
        "ready",
        "flowlu_admin.roles",
    ): "the permissions' models are there only once apps are ready",
    (
        "flowlu_admin/apps.py",
        "ready",
        "flowlu_admin.sealed_operators",
    ): "the models of operators' secrets are there only once apps are ready",
    (
        "flowlu_admin/apps.py",
        "ready",
        "tokens.sealed_models",
    ): "the models with sealed columns are there only once apps are ready",
    (
        "flowlu_admin/apps.py",
        "ready",
        "flowlu_admin.notices.tasks",
    ): "its models are there only once apps are ready",
    (
        "flowlu_admin/admin_site.py",
        "get_urls",
        "flowlu_admin.notices.page",
    ): "as the page of the search",
    (
        "flowlu_admin/admin_site.py",
        "get_urls",
        "flowlu_admin.search_page",
    ): "it shows rows of models, which are there only once apps are ready; the site is made before",
    (
        "flowlu_admin/admin_site.py",
        "get_urls",
        "flowlu_admin.sessions_page",
    ): "it shows rows of models, which are there only once apps are ready; the site is made before",
    (
        "flowlu_admin/admin_site.py",
        "get_urls",
        "flowlu_admin.state_page",
    ): "as the page of the sessions",
    (
        "flowlu_admin/admin_site.py",
        "get_urls",
        "installations.admin",
    ): "it registers models, which are there only once apps are ready; the site is made before",
    (
        "flowlu_admin/apps.py",
        "ready",
        "tokens.services.keys",
    ): "the models that remember keys are there only once apps are ready",
}
# (file, imported module): a type that the run-time direction of imports does not give.
TYPE_ONLY_IMPORTS = {
    (
        "installations/admin/acts.py",
        "installations.admin.base",
    ): "an act is declared on the admin class that it is shown on",
    (
        "installations/admin/list_export.py",
        "installations.admin.base",
    ): "the file of a list is offered by the base of every list",
    (
        "installations/admin/saved_filters.py",
        "installations.admin.base",
    ): "saved filters are shown by the base of every list",
}
# Every management command, and the file that tests it.
COMMAND_TESTS = {
    "add_api_key": "tests/tokens/commands/test_backend_use.py",
    "anchor_audit": "tests/installations/commands/test_anchor_audit.py",
    "approve_scopes": "tests/installations/commands/test_approve_scopes.py",
    "create_operator": "tests/flowlu_admin/test_create_operator.py",
    "invite_operator": "tests/flowlu_admin/test_invitations.py",
    "remove_operator": "tests/flowlu_admin/test_operator_accounts.py",
    "restore_operator": "tests/flowlu_admin/test_operator_accounts.py",
    "sign_out_operator": "tests/flowlu_admin/test_operator_accounts.py",
    "reset_second_factors": "tests/flowlu_admin/test_operator_accounts.py",
    "set_operator_groups": "tests/flowlu_admin/test_operator_accounts.py",
    "set_operator_address": "tests/flowlu_admin/test_operator_accounts.py",
    "changepassword": "tests/flowlu_admin/test_create_operator.py",
    "create_purpose": "tests/tokens/commands/test_backend_use.py",
    "create_service_client": "tests/tokens/commands/test_backend_use.py",
    "erase_portal_user": "tests/tokens/commands/test_erase_portal_user.py",
    "export_catalogue": "tests/installations/commands/test_catalogue_files.py",
    "import_catalogue": "tests/installations/commands/test_catalogue_files.py",
    "export_audit": "tests/installations/commands/test_export_audit.py",
    "find_leaked": "tests/tokens/commands/test_find_leaked.py",
    "doctor": "tests/flowlu_admin/doctor/test_deployment.py",
    "diff_manifests": "tests/installations/commands/test_diff_manifests.py",
    "generate_key": "tests/tokens/commands/test_generate_key.py",
    "import_manifest": "tests/installations/commands/test_import_manifest.py",
    "import_tokens": "tests/tokens/commands/test_import_tokens.py",
    "keep_scopes": "tests/installations/commands/test_review_scopes.py",
    "key_status": "tests/tokens/commands/test_key_status.py",
    "lock": "tests/installations/commands/test_lock_and_unlock.py",
    "lower_scopes": "tests/installations/commands/test_review_scopes.py",
    "prune_audit": "tests/installations/commands/test_prune_audit.py",
    "replace_api_key": "tests/tokens/commands/test_backend_use.py",
    "restore_drill": "tests/flowlu_admin/restoring/test_restore_drill.py",
    "resume_installation": "tests/installations/commands/test_suspend_and_resume.py",
    "revoke_api_key": "tests/tokens/commands/test_backend_use.py",
    "rewrap_tokens": "tests/tokens/commands/test_rewrap_tokens.py",
    "revoke_tokens": "tests/tokens/commands/test_revoke_tokens.py",
    "run_with_sandbox": "tests/browser/conftest.py",
    "sweep": "tests/tokens/commands/test_sweep.py",
    "seed": "tests/flowlu_admin/test_seed.py",
    "state_present": "tests/installations/commands/test_state_present.py",
    "set_allowed_origins": "tests/installations/commands/test_set_allowed_origins.py",
    "suspend_installation": "tests/installations/commands/test_suspend_and_resume.py",
    "switch_off_purpose": "tests/tokens/commands/test_backend_use.py",
    "switch_off_service_client": "tests/tokens/commands/test_backend_use.py",
    "uninstall_installation": "tests/tokens/commands/test_uninstall_installation.py",
    "unlock": "tests/installations/commands/test_lock_and_unlock.py",
    "verify_audit": "tests/installations/commands/test_verify_audit.py",
    "withdraw_scopes": "tests/installations/commands/test_withdraw_scopes.py",
    "withhold_scopes": "tests/installations/commands/test_withhold_scopes.py",
}


def sources(*, migrations=False):
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if migrations or "migrations" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imported_by(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [node.module or ""]
    return []


def first_party(name):
    return name.partition(".")[0] in PACKAGES


def test_no_drawer_for_what_has_no_place():
    names = {"utils", "util", "helpers", "helper", "common", "misc", "shared"}
    found = [path for path, _tree in sources() if names & set(Path(path).with_suffix("").parts)]
    assert found == []


def test_first_party_imports_inside_functions_are_the_listed_ones():
    found = set()
    for path, tree in sources():
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    found |= {(path, function.name, name) for name in imported_by(node) if first_party(name)}
    assert found == LOCAL_IMPORTS.keys()


def test_first_party_imports_for_types_only_are_the_listed_ones():
    found = set()
    for path, tree in sources():
        for branch in ast.walk(tree):
            if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test):
                for node in ast.walk(branch):
                    found |= {(path, name) for name in imported_by(node) if first_party(name)}
    assert found == TYPE_ONLY_IMPORTS.keys()


def test_imports_name_their_module_whole():
    found = [
        path
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.level > 0 or any(alias.name == "*" for alias in node.names))
    ]
    assert found == ["flowlu_admin/settings_test.py"]


def test_no_code_imports_tests():
    found = [
        path
        for path, tree in sources()
        for node in ast.walk(tree)
        for name in imported_by(node)
        if name.startswith("tests")
    ]
    assert found == []


def test_every_command_is_tested():
    ours = {name for name, app in get_commands().items() if app in PACKAGES}
    assert ours == COMMAND_TESTS.keys()


@pytest.mark.parametrize(("command", "test"), COMMAND_TESTS.items(), ids=COMMAND_TESTS.keys())
def test_test_of_a_command_runs_it(command, test):
    assert f'"{command}"' in (ROOT / test).read_text(encoding="utf-8")


def test_only_sealing_uses_the_cipher_and_always_with_key_and_signer():
    # Both fall back to SECRET_KEY when they are built with less.
    users, built = set(), []
    for path, tree in sources():
        for node in ast.walk(tree):
            users |= {path for name in imported_by(node) if name.partition(".")[0] == "django_cryptography"}
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("FernetBytes", "Signer")):
                built.append((path, ast.unparse(node.func), len(node.args)))
    assert users == {"tokens/sealing.py"}
    assert built == [("tokens/sealing.py", "FernetBytes", 2), ("tokens/sealing.py", "_ContextSigner", 2)]


def test_no_lock_is_in_the_way_of_rows_that_only_point_here():
    """A foreign key's check takes FOR KEY SHARE, in an order that is nobody's: FOR UPDATE would meet it in a circle."""
    stronger = [
        f"{path}:{node.lineno}"
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("select_for_update")
        and "no_key=True" not in ast.unparse(node)
    ]
    assert stronger == [], "Say select_for_update(no_key=True): docs/architecture.md, Locks."


def test_no_pickle():
    found = [
        (path, name)
        for path, tree in sources(migrations=True)
        for node in ast.walk(tree)
        for name in imported_by(node)
        if name in {"pickle", "shelve", "marshal", "dill"}
    ]
    assert found == []


def test_no_setting_is_read_when_a_module_is_imported():
    """A default argument or constant taken from settings would keep what a test or a restart changes."""
    found = []
    for path, tree in sources():
        if path in {"flowlu_admin/settings.py", "flowlu_admin/settings_test.py"}:
            continue
        for node in outside_functions(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "settings":
                found.append(f"{path}:{node.lineno}")
    assert found == []


def outside_functions(node):
    """Yield what runs at import: everything but the bodies of functions, whose defaults and decorators do run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in (*child.decorator_list, child.args):
                yield from ast.walk(part)
        elif not isinstance(child, ast.Lambda):
            yield child
            yield from outside_functions(child)


def test_every_rule_can_still_be_broken():
    """`make broken-rules` takes long and is not part of every run: what it replaces must not go unnoticed till then."""
    found = {one.name: (ROOT / one.file).read_text(encoding="utf-8").count(one.text) for one in BREAKAGES}
    assert {name: times for name, times in found.items() if times != 1} == {}

    tests = {path.partition("::")[0] for one in BREAKAGES for path in one.tests if path.startswith("tests/")}
    assert {path for path in tests if not (ROOT / path).exists()} == set()
