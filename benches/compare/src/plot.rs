//! Line charts as SVG: named positions along x, a logarithmic scale along y.

use std::fmt::Write as _;

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    /// The name in the legend.
    pub name: String,
    /// One value for each position; none where nothing was measured.
    pub points: Vec<Option<f64>>,
    /// How it is drawn.
    pub look: Look,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    color: &'static str,
    dash: &'static str,
    width: f64,
    mark: usize,
}

impl Look {
    /// Returns the look of what the chart is about: thick, in one of four strong colours.
    pub fn strong(nth: usize) -> Self {
        const COLORS: [&str; 4] = ["#0b4f9e", "#1f8fe0", "#0aa8a0", "#6a3fb5"];
        Self {
            color: COLORS[nth % COLORS.len()],
            dash: "",
            width: 3.0,
            mark: 0,
        }
    }

    /// Returns the look of the line to compare with.
    pub fn floor() -> Self {
        Self {
            color: "#111111",
            dash: "7 4",
            width: 2.4,
            mark: 1,
        }
    }

    /// Returns the look of one of the others.
    pub fn other(nth: usize) -> Self {
        const COLORS: [&str; 8] = [
            "#c0392b", "#e67e22", "#2e8b3d", "#b5179e", "#8d6e63", "#b8960c", "#607d8b", "#e57399",
        ];
        Self {
            color: COLORS[nth % COLORS.len()],
            dash: "",
            width: 1.5,
            mark: 1 + nth % 3,
        }
    }

    /// Returns the same without dashes.
    pub fn solid(self) -> Self {
        Self { dash: "", ..self }
    }

    /// Returns the same, dashed.
    pub fn dashed(self) -> Self {
        Self {
            dash: "6 4",
            ..self
        }
    }
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Under the title, smaller.
    pub subtitle: String,
    /// Along x.
    pub x_label: &'static str,
    /// Along y, with the unit.
    pub y_label: &'static str,
    /// The positions along x.
    pub positions: Vec<String>,
    /// The lines.
    pub series: Vec<Series>,
}

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 500.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 590.0;
const TOP: f64 = 72.0;
const BOTTOM: f64 = 436.0;

impl Chart {
    /// Returns the picture.
    pub fn svg(&self) -> String {
        let scale = Scale::around(self.series.iter().flat_map(|s| s.points.iter().flatten()));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             font-family=\"Helvetica, Arial, DejaVu Sans, sans-serif\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fcfcfa\"/>\n"
        );
        text(&mut svg, (LEFT, 30.0), "start", 17.0, "#111", &self.title);
        text(
            &mut svg,
            (LEFT, 52.0),
            "start",
            12.0,
            "#555",
            &self.subtitle,
        );
        self.axes(&mut svg, scale);
        for series in &self.series {
            self.line(&mut svg, scale, series);
        }
        self.legend(&mut svg, scale);
        svg + "</svg>\n"
    }

    fn axes(&self, svg: &mut String, scale: Scale) {
        for (value, is_decade) in scale.ticks() {
            let y = scale.y(value);
            let color = if is_decade { "#c9c9c4" } else { "#e9e9e5" };
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\" stroke=\"{color}\"/>"
            );
            if is_decade || scale.is_short() {
                text(
                    svg,
                    (LEFT - 8.0, y + 4.0),
                    "end",
                    12.0,
                    "#333",
                    &plain(value),
                );
            }
        }
        for (position, name) in self.positions.iter().enumerate() {
            let x = self.x(position);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{BOTTOM}\" stroke=\"#e9e9e5\"/>"
            );
            text(svg, (x, BOTTOM + 18.0), "middle", 12.0, "#333", name);
        }
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#333\"/>"
        );
        let middle = f64::midpoint(LEFT, RIGHT);
        text(
            svg,
            (middle, BOTTOM + 44.0),
            "middle",
            13.0,
            "#111",
            self.x_label,
        );
        let (x, y) = (22.0, f64::midpoint(TOP, BOTTOM));
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" font-size=\"13\" fill=\"#111\" \
             transform=\"rotate(-90 {x} {y})\">{}</text>",
            escape(self.y_label)
        );
    }

    fn line(&self, svg: &mut String, scale: Scale, series: &Series) {
        let points: Vec<(f64, f64)> = series
            .points
            .iter()
            .enumerate()
            .filter_map(|(position, value)| Some((self.x(position), scale.y((*value)?))))
            .collect();
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let Look {
            color, dash, width, ..
        } = series.look;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" \
             stroke-dasharray=\"{dash}\" stroke-linejoin=\"round\"/>",
            path.join(" ")
        );
        for point in points {
            mark(svg, point, series.look);
        }
    }

    /// Names the lines in the order in which they end, the topmost first.
    fn legend(&self, svg: &mut String, scale: Scale) {
        let end = |series: &Series| series.points.iter().rev().flatten().next().copied();
        let mut series: Vec<(f64, &Series)> = self
            .series
            .iter()
            .filter_map(|s| Some((scale.y(end(s)?), s)))
            .collect();
        series.sort_by(|a, b| a.0.total_cmp(&b.0));
        let x = RIGHT + 22.0;
        for (row, (_, series)) in series.iter().enumerate() {
            let y = TOP + 10.0 + 22.0 * row as f64;
            let Look {
                color, dash, width, ..
            } = series.look;
            let _ = writeln!(
                svg,
                "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{color}\" \
                 stroke-width=\"{width}\" stroke-dasharray=\"{dash}\"/>",
                x + 28.0
            );
            mark(svg, (x + 14.0, y), series.look);
            text(
                svg,
                (x + 36.0, y + 4.0),
                "start",
                12.0,
                "#222",
                &series.name,
            );
        }
    }

    fn x(&self, position: usize) -> f64 {
        let step = (RIGHT - LEFT - 80.0) / (self.positions.len().max(2) - 1) as f64;
        LEFT + 40.0 + step * position as f64
    }
}

/// A logarithmic scale from `low` to `high`.
#[derive(Clone, Copy, Debug)]
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Returns the scale that has room for all values: from and to 1, 2 or 5 times a power of 10.
    fn around<'a>(values: impl Iterator<Item = &'a f64>) -> Self {
        let (mut least, mut most) = (f64::MAX, f64::MIN_POSITIVE);
        for &value in values {
            (least, most) = (least.min(value), most.max(value));
        }
        if least > most {
            return Self {
                low: 1.0,
                high: 10.0,
            };
        }
        let steps = || (-30..=60).map(step);
        let low = steps()
            .filter(|&step| step <= least * 0.98)
            .fold(1e-10, f64::max);
        let high = steps()
            .filter(|&step| step >= most * 1.02)
            .fold(1e20, f64::min);
        Self { low, high }
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        BOTTOM - share.clamp(0.0, 1.0) * (BOTTOM - TOP)
    }

    /// Returns the values to mark, and whether each is a power of 10.
    fn ticks(self) -> impl Iterator<Item = (f64, bool)> {
        (-30..=60)
            .map(|nth| (step(nth), nth % 3 == 0))
            .filter(move |(value, _)| *value >= self.low * 0.99 && *value <= self.high * 1.01)
    }

    /// Returns whether there is room to name every mark.
    fn is_short(self) -> bool {
        self.high / self.low <= 2e4
    }
}

/// Returns member `nth` of ..., 0.5, 1, 2, 5, 10, ...; 1 is number 0.
fn step(nth: i32) -> f64 {
    [1.0, 2.0, 5.0][nth.rem_euclid(3) as usize] * 10_f64.powi(nth.div_euclid(3))
}

fn plain(value: f64) -> String {
    if value >= 1e6 {
        return format!("{} M", value / 1e6);
    }
    if value >= 1e3 {
        format!("{} k", value / 1e3)
    } else {
        format!("{}", value as f32)
    }
}

fn mark(svg: &mut String, (x, y): (f64, f64), look: Look) {
    let size = if look.width > 2.5 { 4.5 } else { 3.5 };
    let shape = match look.mark {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{size}\""),
        1 => {
            let side = 2.0 * size;
            let (x, y) = (x - size, y - size);
            format!("<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{side}\" height=\"{side}\"")
        }
        2 => format!(
            "<path d=\"M{x:.1} {:.1}l{size} {}h-{}z\"",
            y - size,
            2.0 * size,
            2.0 * size
        ),
        _ => format!(
            "<path d=\"M{x:.1} {:.1}l{size} {size}l-{size} {size}l-{size} -{size}z\"",
            y - size
        ),
    };
    let _ = writeln!(
        svg,
        "{shape} fill=\"{}\" stroke=\"#fcfcfa\" stroke-width=\"0.8\"/>",
        look.color
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, size: f64, color: &str, text: &str) {
    let text = escape(text);
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" \
         fill=\"{color}\">{text}</text>"
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers_and_hold_all_values() {
        let scale = Scale::around([3.0, 780.0].iter());
        assert_eq!((scale.low, scale.high), (2.0, 1000.0));
        assert_eq!(scale.y(2.0), BOTTOM);
        assert_eq!(scale.y(1000.0), TOP);
        let marks: Vec<f64> = scale.ticks().map(|(value, _)| value).collect();
        assert_eq!(
            marks,
            [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0]
        );
    }

    #[test]
    fn names_are_escaped() {
        let chart = Chart {
            title: "a < b".into(),
            subtitle: String::new(),
            x_label: "x",
            y_label: "y",
            positions: vec!["1".into()],
            series: vec![Series {
                name: "Option<&V>".into(),
                points: vec![Some(1.0)],
                look: Look::floor(),
            }],
        };
        assert!(chart.svg().contains("Option&lt;&amp;V&gt;"));
        assert!(chart.svg().contains("a &lt; b"));
    }
}
