"""How the raw heads of networks are read: a file for each kind of thing that they find."""
