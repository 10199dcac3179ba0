"""How far the emulated device agrees with a real one: probes side by side, and recorded histories of the allocator."""
