"""Sources of small libraries that offer the names of OpenSSL 1.0 and pass each call on to OpenSSL 3."""

from __future__ import annotations

from collections.abc import Mapping

_RENAMED = {
    "SSL_state": "SSL_get_state",
    "SSLv23_method": "TLS_method",
    "SSL_get_peer_certificate": "SSL_get1_peer_certificate",
    "sk_new_null": "OPENSSL_sk_new_null",
    "sk_num": "OPENSSL_sk_num",
    "sk_pop_free": "OPENSSL_sk_pop_free",
    "sk_push": "OPENSSL_sk_push",
    "sk_value": "OPENSSL_sk_value",
}
_NEEDLESS = {  # set-up and locks, which OpenSSL has done by itself since 1.1
    "SSL_library_init",
    "SSL_load_error_strings",
    "OPENSSL_add_all_algorithms_noconf",
    "CRYPTO_num_locks",
    "CRYPTO_set_id_callback",
    "CRYPTO_set_locking_callback",
    "CRYPTO_set_dynlock_create_callback",
    "CRYPTO_set_dynlock_lock_callback",
    "CRYPTO_set_dynlock_destroy_callback",
}


def assembly(names: Mapping[str, str], real: str) -> str:
    """A jump for each name through a table, which openssl_shim.c fills from the library ``real``.

    ``names`` maps names to versions. A name that OpenSSL 3 does not have leads to a place of its own,
    which leaves the name's number where openssl_shim.c reports it.
    """
    order = sorted(names)
    jumps = "".join(
        f".globl {name}\n.type {name},@function\n{name}:\n"
        f"  jmp *(shim_slots+{8 * n})(%rip)\n.size {name},.-{name}\n"
        for n, name in enumerate(order)
    )
    missing = "".join(f"missing_{n}: movl ${n},%edi\n  jmp shim_missing\n" for n in range(len(order)))
    texts = "".join(
        f'name_{n}: .asciz "{"" if name in _NEEDLESS else _RENAMED.get(name, name)}"\n'
        for n, name in enumerate(order)
    )
    name_table = "".join(f"  .quad name_{n}\n" for n in range(len(order)))
    missing_table = "".join(f"  .quad missing_{n}\n" for n in range(len(order)))
    return (
        f".text\n{jumps}{missing}"
        f'.section .rodata\n{texts}real_name: .asciz "{real}"\n'
        '.section .data.rel.ro,"aw"\n.balign 8\n'
        f".globl shim_names\nshim_names:\n{name_table}"
        f".globl shim_absent\nshim_absent:\n{missing_table}"
        ".globl shim_real\nshim_real: .quad real_name\n"
        f".globl shim_count\nshim_count: .quad {len(order)}\n"
        f".bss\n.balign 8\n.globl shim_slots\nshim_slots: .skip {8 * len(order)}\n"
        '.section .note.GNU-stack,"",@progbits\n'
    )


def version_script(names: Mapping[str, str]) -> str:
    """The linker's map that gives each name the version under which it is wanted."""
    lines = []
    for n, version in enumerate(sorted(set(names.values()))):
        members = "".join(f" {name};" for name in sorted(names) if names[name] == version)
        lines.append(f"{version} {{ global:{members}{' local: *;' if n == 0 else ''} }};\n")
    return "".join(lines)


def interpreter_names(names: list[str]) -> str:
    """C source with the names of a Python interpreter, there only so that the library loads."""
    lines = ["#include <stdlib.h>\n"]
    for name in sorted(names):
        if name.startswith(("PyExc_", "_Py_")):
            lines.append(f"long {name}[16];\n")
        else:
            lines.append(f"void {name}(void) {{ abort(); }}\n")
    return "".join(lines)
