"""Runs the command: `command.py MODULE FOLDER`. It gets the environment of this process, and the folder as `out`."""

import os
import sys

from wasmtime import Engine, Linker, Module, Store, WasiConfig

module, folder = sys.argv[1:]
engine = Engine()
linker = Linker(engine)
linker.define_wasi()
wasi = WasiConfig()
wasi.argv = ["command", "out"]
wasi.env = [(name, value) for name, value in os.environ.items() if name.startswith("SENTRY_")]
wasi.preopen_dir(folder, "out")
wasi.inherit_stdout()
wasi.inherit_stderr()
store = Store(engine)
store.set_wasi(wasi)
linker.instantiate(store, Module.from_file(engine, module)).exports(store)["_start"](store)
