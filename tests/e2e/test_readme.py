"""The README: each command in it is run here, or by the fresh-clone run of the build."""

import asyncio
import re
import shutil
import sys
from pathlib import Path

from tests.support.node import needs_node, run_script
from tests.support.server import FAST, ROOT, ServerProcess

README = (ROOT / "README.md").read_text()
RUN_BY_THE_BUILD = {"make run", "make test"}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands():
    return [line for block in blocks("sh") for line in block.splitlines() if line and not line.startswith("#")]


async def test_every_shell_command_of_the_readme_works(tmp_path):
    server = await ServerProcess(tmp_path, **FAST, API_KEY="your-api-key").start()
    shutil.copy(ROOT / ".env.example", tmp_path)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    try:
        asked = [command for command in commands() if command not in RUN_BY_THE_BUILD]
        assert any(command.startswith("curl") for command in asked)
        for command in asked:
            line = command.replace("localhost:3000", f"localhost:{server.port}").replace("curl ", "curl -sS ")
            if "X-API-Key" not in line and "/api/" in line:
                line = line.replace("curl -sS ", 'curl -sS -H "X-API-Key: your-api-key" ')
            code, output = await shell(line, tmp_path)
            assert code == 0, f"{command}\n{output}"
            if line.startswith("curl"):
                assert '"success":true' in output or '"status":"healthy"' in output, f"{command}\n{output}"
    finally:
        await server.close()


async def shell(line, directory):
    process = await asyncio.create_subprocess_shell(
        line, cwd=directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


@needs_node
async def test_the_client_of_the_readme_receives_updates(tmp_path):
    (example,) = blocks("js")
    server = await ServerProcess(tmp_path, **FAST, API_KEY="your-api-key").start()
    try:
        script = example.replace("localhost:3000", f"localhost:{server.port}").replace("console.log(", "note(")
        ends = """
const seen = [];
setTimeout(() => process.exit(1), 30000);
function note(...values) {
  seen.push(values);
  if (seen.length >= 8) { console.log(JSON.stringify(seen)); process.exit(0); }
}
"""
        imports, rest = script.split("\n", 1)
        (seen,) = await run_script(imports + ends + rest)
    finally:
        await server.close()
    assert all(isinstance(values[1], (int, float)) for values in seen)


def test_every_file_that_the_readme_and_the_docs_name_is_there():
    for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} names {target}"
