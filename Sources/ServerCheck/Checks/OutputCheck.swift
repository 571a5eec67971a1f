import JSONText
import Standalone
import StdioBridge

/// What the server wrote beside its messages.
enum OutputCheck {
    private static let chatty = 16 << 10
    private static let flood = 256 << 10

    /// - Parameter children: how they fared before the first of them ended: they have counted lines that were too long to be seen.
    static func run(_ bench: TestBench, _ first: StartCheck.First, _ children: [ChildReport], _ report: inout Report) {
        let (lines, example) = bench.traffic.noise
        let counted = children.map(\.noiseLines).max() ?? 0
        report.add([noise(lines > 0 ? lines : counted, example: example ?? children.flatMap(\.noise).first), errors(first.errorBytes)])
    }

    static func noise(_ lines: Int, example: String?) -> Finding {
        guard lines > 0 else { return Finding("output.stdout", .pass, "nothing but messages on standard output") }
        let example = example.map { " ('\(Excerpt.of($0, 80))')" } ?? ""
        return Finding(
            "output.stdout", .failure,
            "\(Count.text(lines, "line")) on standard output that are no messages\(example); strict clients end the session",
            remedy: "print to standard error (Python: file=sys.stderr, logging does; Node: console.error)")
    }

    static func errors(_ bytes: Int) -> Finding {
        let what = "\(bytes) bytes on standard error until its tools were listed"
        if bytes > flood {
            return Finding(
                "output.stderr", .warning, what + ": lines above 100 a second are dropped", remedy: "log less by default, and the rest on demand")
        }
        if bytes > chatty {
            return Finding("output.stderr", .note, what, remedy: "log less by default: what matters is lost among it")
        }
        return Finding("output.stderr", .pass, what)
    }
}
