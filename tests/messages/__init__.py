"""Texts and their translations: what the code marks, the catalogues in `locale/`, and what `make messages` writes."""
