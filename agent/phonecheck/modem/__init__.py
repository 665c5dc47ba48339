"""ModemManager: what it knows about modems, SIMs and bearers, read over D-Bus; nothing here changes any of it."""
