"""The unattended device: a small loop that has checks made when they are due, and tells what came of them."""
