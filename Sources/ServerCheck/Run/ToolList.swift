public import JSONText

/// What can be said of a list of tools that came some other way than from a server behind a bridge here.
public enum ToolList {
    /// - Parameter baseline: the list as it should be.
    public static func check(_ tools: [JSONValue], against baseline: ToolBaseline?, _ report: inout Report) {
        report.tools = tools.count
        ToolsCheck.run(tools, baseline, &report)
    }
}
