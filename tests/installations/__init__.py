"""Tests of the installations app."""
