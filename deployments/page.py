"""The page at `/`: what this is, how to connect, what is in the catalogue."""

from collections.abc import Mapping
from html import escape

from deployments.description import ServiceDescription
from deployments.health import Health

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Whale Vision Identifier</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #123; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
code, pre {{ background: #eef3f6; border-radius: 4px; }} code {{ padding: 0 .25em; }}
pre {{ padding: .75em; overflow-x: auto; }}
table {{ border-collapse: collapse; }} td, th {{ text-align: left; padding: .15rem 1.5rem .15rem 0; }}
.bad {{ color: #a00; }}
</style>
</head>
<body>
<h1>Whale Vision Identifier</h1>
<p>This service finds the whale's {body_parts} in a photo, and ranks the known individuals by distance
(lower is better). It speaks a WebSocket protocol at this same address.</p>
{warning}
{catalogue}
<h2>Connect</h2>
<pre>python -m pipeline.client identify photo.jpg --server ws://this-host:port</pre>
<p>or send <code>{{"type":"extract","fileNames":["/path/to/photo.jpg"]}}</code> as a text message over a WebSocket;
<code>docs/protocol.md</code> describes every message.</p>
<h2>State</h2>
<table>
{deployments}
</table>
<p>Models from <code>{models_dir}</code> on <code>{device}</code>. Species: {species}.</p>
</body>
</html>
"""


def render_page(description: ServiceDescription, health: Health, shows_catalogue: bool) -> str:
    """Return the page as HTML; what the catalogue holds is not for everybody."""
    return _PAGE.format(
        body_parts=escape(" or ".join(description.body_parts)),
        warning=f"<p><strong>{escape(description.provenance)}</strong></p>" if description.provenance else "",
        catalogue=f"<h2>Catalogue</h2>\n{_catalogue(health.catalogue)}" if shows_catalogue else "",
        deployments="\n".join(_row(name, health) for name in health.deployments),
        models_dir=escape(description.models_dir),
        device=escape(description.device),
        species=escape(description.species),
    )


def _catalogue(counts: Mapping[str, int] | None) -> str:
    if counts is None:
        return '<p class="bad">The catalogue does not answer at the moment.</p>'
    others = counts.get("other_model_rows", 0)
    note = f" {others} more photos belong to other models' weights and are not ranked." if others else ""
    return f"<p>{counts['individuals']} individuals in {counts['photos']} photos.{note}</p>"


def _row(name: str, health: Health) -> str:
    state = health.deployments[name]
    about = " ".join(part for part in (health.models.get(name, ""), health.backends.get(name, "")) if part)
    mark = "" if state == "running" else ' class="bad"'
    return f"<tr><th>{escape(name)}</th><td{mark}>{escape(state)}</td><td>{escape(about)}</td></tr>"
