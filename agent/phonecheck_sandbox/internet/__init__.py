"""What is reached over the Internet: the platform, the app server with its faults, and how they find each other."""
