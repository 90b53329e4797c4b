"""The platforms that runs are carried out on, one module each, behind `reconciler.compute`."""
