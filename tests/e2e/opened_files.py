"""Which files below some folders are opened, by any process: Linux tells by inotify, and no program notices."""
import ctypes
import os
import struct

IN_OPEN, IN_ISDIR, IN_Q_OVERFLOW = 0x20, 0x40000000, 0x4000


class OpenedFiles:
    """Watches from its making on. Raises OSError where the kernel has no inotify to give."""

    def __init__(self, root):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._folders = {}
        for folder, _, _ in os.walk(root):
            watch = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), IN_OPEN)
            if watch < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch", folder)
            self._folders[watch] = folder

    def take(self):
        """Paths of the files opened since the last call."""
        opened = set()
        while True:
            try:
                events = os.read(self._descriptor, 1 << 20)
            except BlockingIOError:
                return opened
            while events:
                watch, mask, _, length = struct.unpack_from("iIII", events)
                name, events = events[16:16 + length].rstrip(b"\0"), events[16 + length:]
                if mask & IN_Q_OVERFLOW:
                    raise OSError("events were lost")
                if name and not mask & IN_ISDIR:
                    opened.add(os.path.join(self._folders[watch], os.fsdecode(name)))

    def close(self):
        os.close(self._descriptor)
