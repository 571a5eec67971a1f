/// Servers of the Python SDK 1.x answer `server/discover`, which they do not know, as they should, and write some hundred lines about it
/// to their log: one that counts the requests they tried, and three for each. Those would bury the lines that matter.
struct ProbeComplaint {
    private enum State {
        case none
        /// The third line tells what it is about.
        case begun(lines: [String], count: Int)
        case hiding(left: Int)
    }

    private static let first = "Failed to validate request: "
    private static let linesForEach = 3
    private var state = State.none

    /// One line of a server's standard error.
    ///
    /// - Returns: what is to be logged, of it and of those before it.
    mutating func take(_ line: String) -> [String] {
        switch state {
        case .none:
            guard line.hasSuffix(" for ClientRequest"), let range = line.firstRange(of: Self.first),
                let count = Int(line[range.upperBound...].prefix { $0.isNumber }), (1...1_000).contains(count)
            else { return [line] }
            state = .begun(lines: [line], count: count * Self.linesForEach)
            return []
        case .begun(let lines, let count):
            state = .begun(lines: lines + [line], count: count)
            guard lines.count == 2 else { return [] }
            guard line.contains("'server/discover'") else {
                state = .none
                return lines + [line]
            }
            state = .hiding(left: count - 2)
            return ["(\(count + 1) lines about server/discover, which this server does not know, are left out)"]
        case .hiding(let left):
            let isPart = line.hasPrefix(" ") || line.contains("Request")
            state = isPart && left > 1 ? .hiding(left: left - 1) : .none
            return isPart ? [] : [line]
        }
    }

    /// What waited for the lines that tell what it is about, when no more come.
    mutating func finish() -> [String] {
        defer { state = .none }
        if case .begun(let lines, _) = state { return lines }
        return []
    }
}
