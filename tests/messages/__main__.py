"""`make messages`: bring the catalogues up to date with the code, compile them, and write tables.js from them."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flowlu_admin.settings_test")
django.setup()

from tests.messages import catalogues, marked, tables  # noqa: E402  (they read the settings)

messages = list(marked.of_embed_page())
for language in catalogues.TRANSLATED:
    path = catalogues.path_of(language)
    catalogues.update(path, messages)
    catalogues.compile_catalogue(path)
    for problem in catalogues.problems(path, messages):
        print(f"{language}: {problem}")  # noqa: T201
tables.PATH.write_text(tables.rendered(), encoding="utf-8")
