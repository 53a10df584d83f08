"""The embedded data set: people, clothes, cameras and streets that the program draws itself."""
