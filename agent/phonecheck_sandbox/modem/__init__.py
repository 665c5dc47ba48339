"""The modem of the sandbox: the real ModemManager on a private bus, driving virtual MBIM modems."""
