import ArgumentParser

/// `--json`
package struct JSONOption: ParsableArguments {
    @Flag(name: .customLong("json"), help: "Print JSON instead of text.")
    package var json = false

    package init() {}

    /// For what ends a command, whatever it has parsed by then.
    static var isGiven: Bool { CommandLine.arguments.dropFirst().prefix { $0 != "--" }.contains("--json") }
}
