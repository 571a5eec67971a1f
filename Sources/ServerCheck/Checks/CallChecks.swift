import JSONText

/// What needs a tool call that may be made, and broken off.
enum CallChecks {
    static let none = "name a safe call with --call TOOL='{json}': no tool is marked readOnlyHint and takes no required arguments"

    static func run(_ bench: TestBench, _ first: StartCheck.First, _ modern: ModernCaller, _ report: inout Report) async {
        let call = bench.settings.call ?? SafeCall.among(first.tools)
        let names = first.tools.compactMap { $0["name"]?.stringValue }
        if let call, !names.contains(call.tool) {
            let meant = Nearest.name(to: call.tool, among: names).map { "did you mean \($0)?" }
            let remedy = meant ?? "it has \(names.prefix(30).joined(separator: ", "))"
            report.add(Finding("calls.tool", .failure, "it has no tool \(call.tool)", remedy: remedy))
            return await checks(bench, first, nil, modern, "the call that was given cannot be made", &report)
        }
        await checks(bench, first, call, modern, none, &report)
    }

    private static func checks(
        _ bench: TestBench, _ first: StartCheck.First, _ call: SafeCall?, _ modern: ModernCaller, _ reason: String, _ report: inout Report
    ) async {
        await NumbersCheck.run(bench, first, call, modern, reason, &report)
        if Task.isCancelled { return }
        if let call {
            await CancelCheck.run(bench, call, modern, &report)
        } else {
            report.add(Finding(CancelCheck.id, .skipped, reason))
        }
        if !Task.isCancelled { await DeathCheck.run(bench, first, call, modern, &report) }
    }
}
