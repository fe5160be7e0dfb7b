"""Systems: a row in :mod:`shared.systems.catalogue`, and a module each with the system's figure."""
