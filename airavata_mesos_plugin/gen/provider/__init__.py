__all__ = ['ttypes', 'constants', 'MesosProvider']
