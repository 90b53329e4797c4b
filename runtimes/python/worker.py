"""Start a Python worker: `python3 -I -S worker.py W`, where W is the worker's folder."""

import sys

if __name__ in ("__main__", "__mp_main__"):
    # Ours may be found at the start only: user code has the same names for itself.
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")
    import ty_worker.host
    import ty_worker.sites

    del sys.path[0]
    ty_worker.sites.find_installed_packages_late()
    if __name__ == "__main__":
        ty_worker.host.serve(sys.argv[1])
