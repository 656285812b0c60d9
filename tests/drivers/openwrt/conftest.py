"""Its place puts this folder on the import path, for `openwrt_devices`."""
