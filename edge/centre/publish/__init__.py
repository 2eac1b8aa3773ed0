"""One local day of the centre's database, in the shapes that authorities deliver and publish: one file a format."""
