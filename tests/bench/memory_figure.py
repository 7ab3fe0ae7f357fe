"""The figure of memory.py: SVG with two panels, without libraries."""
WIDTH, HEIGHT, LEFT, TOP, GAP = 330, 250, 58, 34, 86
COLOURS = ["#4269d0", "#d1495b", "#3a7d44", "#b8860b", "#7b4fa3"]


class Panel:
    """Axes from 0 with round ticks; what is drawn collects in `parts`."""

    def __init__(self, left, title, x_label, x_most, y_most):
        self.left, self.x_most, self.y_most, self.parts = left, x_most, y_most, []
        self.text(left + WIDTH / 2, TOP - 14, title, "middle", 13)
        self.text(left + WIDTH / 2, TOP + HEIGHT + 36, x_label, "middle")
        self.parts.append(f'<path d="M{left} {TOP}v{HEIGHT}h{WIDTH}" fill="none" stroke="#444"/>')
        for tick in ticks(x_most):
            self.text(self.x(tick), TOP + HEIGHT + 16, f"{tick:g}", "middle")
        for tick in ticks(y_most):
            self.text(left - 6, self.y(tick) + 4, f"{tick:g}", "end")
            self.parts.append(f'<path d="M{left} {self.y(tick):.1f}h{WIDTH}" stroke="#ddd"/>')

    def x(self, value):
        return self.left + WIDTH * value / self.x_most

    def y(self, value):
        return TOP + HEIGHT * (1 - value / self.y_most)

    def text(self, x, y, words, anchor="start", size=11, colour="#222"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{words}</text>')

    def line(self, points, colour, dashed=False):
        path = "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)
        self.parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.6"{" stroke-dasharray=" + chr(34) + "5 4" + chr(34) if dashed else ""}/>')

    def dots(self, points, colour):
        self.parts += [f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3.2" fill="{colour}"/>' for x, y in points]


def ticks(most):
    step = next(s for s in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5, 5, 10, 20, 50) if most / s <= 7)
    return [round(step * i, 6) for i in range(int(most / step) + 1)]


def drawn(measured, fitted):
    """`measured` and `fitted` of memory.py, in bytes; the file's text."""
    parameters = [m["parameters"] / 1e9 for m in measured]
    units = [m["unit"] / 1e9 for m in measured]
    most = max(use["anonymous"] for m in measured for use in m["stages"].values()) / 1e9
    whole = Panel(LEFT, "GB that no file backs, at most", "parameters, 10^9", 1.08 * parameters[-1], 1.12 * max(most, 4 * parameters[-1]))
    by_unit = Panel(LEFT + WIDTH + GAP, "the same, and the fitted lines", "float32 weights of the largest unit, GB", 1.08 * max(units), 1.15 * most)
    whole.line([(0, 0), (parameters[-1], 4 * parameters[-1])], "#888", dashed=True)
    whole.text(whole.x(parameters[-1]) - 6, whole.y(4 * parameters[-1]) + 4, "all weights in float32", "end", colour="#666")
    for (stage, (offset, slope)), colour in zip(fitted.items(), COLOURS):
        values = [m["stages"][stage]["anonymous"] / 1e9 for m in measured]
        whole.line(list(zip(parameters, values)), colour)
        whole.dots(zip(parameters, values), colour)
        by_unit.dots(zip(units, values), colour)
        by_unit.line([(0, offset / 1e9), (max(units), (offset + slope * max(units)) / 1e9)], colour, dashed=True)
    legend = []
    for i, ((stage, (offset, slope)), colour) in enumerate(zip(fitted.items(), COLOURS)):
        y = TOP + HEIGHT + 62 + 17 * i
        legend.append(f'<circle cx="{LEFT + 6}" cy="{y - 4}" r="3.6" fill="{colour}"/>')
        legend.append(f'<text x="{LEFT + 18}" y="{y}" font-size="11" fill="#222">{stage}: {offset / 1e9:.2f} GB + {slope:.2f} x largest unit</text>')
    width, height = LEFT + 2 * WIDTH + GAP + 24, TOP + HEIGHT + 62 + 17 * len(fitted)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">\n'
            f'<rect width="{width}" height="{height}" fill="#fff"/>\n' + "\n".join(whole.parts + by_unit.parts + legend) + "\n</svg>\n")
