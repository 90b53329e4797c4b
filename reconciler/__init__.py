"""The reconciler: manifests in, a plan, and a world that matches them."""
