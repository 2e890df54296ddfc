"""Languages in which a user says which frames are wanted."""
