"""The doctor's eyes: how its questions are answered by modem, link, chain, app server and service of this device."""
