"""The measurements as a table, as JSON, and as a picture."""

import html
import json
import platform
import statistics

SHOWN = [("wall_seconds", "wall s", 1), ("cpu_seconds", "client CPU s", 1), ("memory_bytes", "memory MB", 1e6),
         ("bytes", "bytes MB", 1e6)]


def medians(runs):
    return {measure: statistics.median(run[measure] for run in runs) for measure, _, _ in SHOWN if measure in runs[0]}


def verdicts(work, found):
    """Each goal with the figure that was seen."""
    lines = []
    for goal in work.goals:
        own = found[goal.of][goal.measure]
        if not goal.beside:
            lines.append({"goal": f"{goal.of}: {goal.measure} at most {goal.most:g}", "seen": own, "met": own <= goal.most})
            continue
        rivals = {name: found[name][goal.measure] for name in goal.beside if name in found}
        if not rivals:
            continue
        best = min(rivals, key=rivals.get)
        ratio = own / rivals[best]
        lines.append({"goal": f"{goal.of}: {goal.measure} at most {goal.most} x {best}", "seen": round(ratio, 3),
                      "met": ratio <= goal.most})
    return lines


def text(results):
    lines = []
    for result in results:
        lines.append(f"\n{result['work']}: {result['table']}, {result['form']} {result['compression']}")
        lines.append("  {:<12}".format("") + "".join(f"{title:>14}" for _, title, _ in SHOWN))
        for name, found in result["medians"].items():
            cells = [f"{found[measure] / unit:>14.2f}" if measure in found else f"{'':>14}"
                     for measure, _, unit in SHOWN]
            lines.append(f"  {name:<12}" + "".join(cells))
        for verdict in result["goals"]:
            lines.append(f"  {'met  ' if verdict['met'] else 'SHORT'} {verdict['goal']}: {verdict['seen']:.4g}")
    return "\n".join(lines)


def machine():
    names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return f"{len(names)} x {names[0]}, {platform.system()}" if names else platform.platform()


def write(results, folder, date, command):
    told = {"date": date, "machine": machine(), "command": command, "results": results}
    (folder / "bench.json").write_text(json.dumps(told, indent=1) + "\n")
    (folder / "bench.svg").write_text(picture(told))


def picture(told):
    """Bars of wall time, a group per work."""
    rows, at, longest = [], 46, 0.0
    for result in told["results"]:
        longest = max([longest, *(found["wall_seconds"] for found in result["medians"].values())])
    for result in told["results"]:
        rows.append(f'<text x="8" y="{at + 12}" font-weight="bold">{html.escape(result["work"])}</text>')
        at += 18
        for name, found in result["medians"].items():
            width = 420 * found["wall_seconds"] / longest
            colour = "#b9c4bd" if name in ("duckdb", "connectorx", "drain") else "#2f6f4f"
            rows.append(f'<text x="150" y="{at + 11}" text-anchor="end">{html.escape(name)}</text>'
                        f'<rect x="158" y="{at}" width="{width:.1f}" height="13" fill="{colour}"/>'
                        f'<text x="{164 + width:.1f}" y="{at + 11}">{found["wall_seconds"]:.2f} s</text>')
            at += 16
        at += 8
    head = html.escape(f"{told['date']}, {told['machine']}")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="680" height="{at + 8}" font-family="sans-serif" '
            f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
            f'<text x="8" y="18" font-weight="bold">Seconds of wall time, median</text>'
            f'<text x="8" y="34" fill="#555">{head}: {html.escape(told["command"])}</text>{"".join(rows)}</svg>\n')
