"""The one adapter that knows Flowlu's wire: how a call is written, sent and answered."""
