"""The kernel's side of the path: bound sockets, routes, and names asked of the link's own DNS servers."""
