"""The service API: backend code of the vendor acts for a declared purpose. Apart from the current-user API in all."""
