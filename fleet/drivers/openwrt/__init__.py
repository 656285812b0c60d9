"""OpenWrt 21.02 to 25.12: UCI is what is stored, the kernel what runs; one exec over SSH to read, one to apply."""

from .driver import OpenwrtDriver

__all__ = ["OpenwrtDriver"]
