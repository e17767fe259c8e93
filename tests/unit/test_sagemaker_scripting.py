"""Which nginx the SageMaker path's JavaScript is given to."""

from pathlib import Path

from tools.gateway import Scripting, find_scripting, nginx_binary


def fake_nginx(folder: Path, *, passes: str) -> Path:
    """An nginx with a modules folder, whose test of a configuration passes when `passes` is found in it."""
    modules = folder / "modules"
    modules.mkdir()
    (modules / "ngx_http_js_module.so").touch()
    program = folder / "nginx"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -V ] && echo "configure arguments: --modules-path={modules} --with-x" >&2 && exit\n'
        f'for last; do :; done; grep -q "{passes}" "$last"\n'
    )
    program.chmod(0o755)
    return program


def test_the_nginx_of_this_machine_is_looked_at_for_real() -> None:
    found = find_scripting(nginx_binary())
    assert found is None or (found.scripts / "sagemaker.js").is_file()


def test_a_module_of_its_own_is_loaded(tmp_path: Path) -> None:
    nginx = fake_nginx(tmp_path, passes="load_module")
    assert find_scripting(nginx) == Scripting(tmp_path / "modules" / "ngx_http_js_module.so")


def test_what_is_built_in_needs_no_module(tmp_path: Path) -> None:
    assert find_scripting(fake_nginx(tmp_path, passes="js_shared_dict_zone")) == Scripting(None)


def test_an_nginx_that_has_no_shared_dictionaries_gets_no_scripts(tmp_path: Path) -> None:
    assert find_scripting(fake_nginx(tmp_path, passes="nothing that is there")) is None
