import ArgumentParser
import AuthorCommands
import JSONText

extension ImageCommand {
    struct Test: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Build an image, start a machine of it and ask it for its tools, as connector add would; no connector is made.",
            discussion: """
                Nothing is left but the image, which a connector added within the hour finds built. What fails is named: exec_format, bind_loopback, \
                probe_timeout, exit_before_ready(STATUS), image_too_large, import_error; the command ends with 1 then.
                """)
        @OptionGroup var definition: ConnectorCommand.Definition
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func run() async throws {
            if try definition.life.json() != nil {
                throw Failure("--isolation, --min, --max and --idle are a connector's", hint: "leave them out: one machine is tried, once", code: 64)
            }
            let installation = try state.installation()
            let body = try await definition.body("image-test", installation)
            let passed = try await Provisioning.accepted(
                "POST", "/api/v1/image-tests", body, installation, json: output.json, namesReason: true).end
            if output.json { return }
            let tools = passed["tools"]?.arrayValue ?? []
            Output.line("passed: \(Count.text(tools.count, "tool")) in \(passed.cell("seconds")) s, image \(Images.short(.record(("digest", passed["image"]))))")
            Output.line("")
            Output.table(
                ["TOOL", "DESCRIPTION"], tools.map { [$0.cell("name"), String(Printable.line($0["description"]?.stringValue ?? "").prefix(100))] })
        }
    }
}
