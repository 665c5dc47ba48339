"""The reference application server: the app server's half of the PhoneCheck guide."""
