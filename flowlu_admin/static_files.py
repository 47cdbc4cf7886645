"""Static files under names that change with their content, so that browsers may keep them for good."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class NamedByContent(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise is not typed
    """Scripts import each other by these names too: a page never runs with a part of an older release."""

    support_js_module_import_aggregation = True
