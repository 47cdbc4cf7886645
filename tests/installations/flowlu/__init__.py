"""Tests of the adapter that knows the wire."""
