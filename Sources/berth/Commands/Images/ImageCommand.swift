import ArgumentParser
import AuthorCommands
import JSONText
import Wire

/// `berth image`
struct ImageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "What connectors' machines are made of: list, show, what is in one, test one, remove what nobody needs.",
        discussion: "IMAGE is an image's digest, its first six digits or more, or the name of a connector.",
        subcommands: [List.self, Show.self, Bill.self, Test.self, Collect.self, Login.self, Logout.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All images of this host.")
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let images = try await Images.all(state.installation())
            if output.json { return Output.json(.record(("images", .array(images)))) }
            Output.table(
                ["IMAGE", "SOURCE", "VERSION", "OWN", "ALL", "BUILT", "CONNECTORS", "MACHINES"],
                images.map { image in
                    [
                        Images.short(image), image.cell("title"), Images.version(image), Bytes.text(image["own_bytes"]?.intValue ?? 0), Bytes.text(image["bytes"]?.intValue ?? 0),
                        image.cell("built_at"), Images.names(image["connectors"]), "\(Images.machines(image).count)",
                    ]
                })
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One image: where it came from, its layers, who needs it, its packages.")
        @Argument(help: "Digest of the image, its first six digits or more, or a connector's name.") var image: String
        @Flag(help: "Print the lock alone that its packages were installed by.") var lock = false
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func validate() throws {
            if lock, output.json { throw ValidationError("--lock prints a text of its own: leave --json out") }
        }

        func run() async throws {
            let installation = try state.installation()
            let digest = try await Images.digest(of: image, installation)
            if lock {
                return Output.raw(Array(try await ControlClient.orchestrator(installation).text(Images.path(digest) + "/lock").utf8))
            }
            let answer = try await ControlClient.orchestrator(installation).get(Images.path(digest))
            let shown = Images.naming((try? await Images.connectors(installation)) ?? [], of: answer)
            if output.json { return Output.json(shown) }
            let machines = Images.machines(shown)
            let needed = (shown["uses"]?.arrayValue ?? []).filter { $0["machine"]?.stringValue == nil }.map { $0.cell("app") }
            let rows: [(String, String?)] = [
                ("Image", shown.cell("digest")), ("Source", shown.cell("title")), ("Version", shown["version"]?.stringValue), ("Built", shown.cell("built_at")),
                ("Command", (shown["command"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: " ")), ("Directory", shown.cell("directory")),
                ("Size", "\(Bytes.text(shown["own_bytes"]?.intValue ?? 0)) of its own, \(Bytes.text(shown["bytes"]?.intValue ?? 0)) with what others share"),
                ("Connectors", Images.names(shown["connectors"])),
                ("Machines", machines.isEmpty ? "none" : machines.map { "\($0.cell("machine")) (\($0.cell("state")))" }.joined(separator: " ")),
                ("Kept for", needed.isEmpty ? nil : "the next machine of " + needed.joined(separator: ", ")),
                ("Packages", shown["packages"]?.arrayValue.map { $0.compactMap(\.stringValue).joined(separator: " ") }),
            ]
            for (title, text) in rows {
                if let text, !text.isEmpty { Output.line(title.padded(to: 12) + Printable.line(text)) }
            }
            Output.line("")
            Output.table(
                ["LAYER", "SIZE", "SHARED BY"],
                (shown["layers"]?.arrayValue ?? []).map { layer in
                    let count = layer["images"]?.intValue ?? 1
                    let part = layer["part"]?.stringValue.map { "every build: \($0)" }
                    return [
                        String(layer.cell("digest").prefix(19)), Bytes.text(layer["bytes"]?.intValue ?? 0),
                        part ?? (count > 1 ? Count.text(count, "image") : "nobody: its own"),
                    ]
                })
        }
    }

    struct Bill: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "sbom", abstract: "Print what is in an image: a bill of materials as CycloneDX 1.6, in JSON.",
            discussion: """
                Packages of PyPI and npm with the hashes of the lock that they were installed by, the distribution's packages of the base system, and \
                the layers with their digests. What a package says of itself (its licence) is its author's word. The same image gives the same bytes.
                """)
        @Argument(help: "Digest of the image, its first six digits or more, or a connector's name.") var image: String
        @OptionGroup var state: StateOption
        /// It is JSON either way; what goes wrong is told so too.
        @OptionGroup var output: JSONOption
        func run() async throws {
            let installation = try state.installation()
            let digest = try await Images.digest(of: image, installation)
            let text = try await ControlClient.orchestrator(installation).text(Images.path(digest) + "/bill")
            Output.raw(Array(text.utf8.dropLast()))
        }
    }

    struct Collect: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "gc", abstract: "Remove images that nobody needs, and layers that no image has.",
            discussion: """
                An image stays as long as a machine has it, while an app's next machine may be made of it (the last five of each app), and for \
                an hour after it was built. Berth does the same by itself every hour. What is left of an image that went is in no backup.
                """)
        @Flag(help: "Remove nothing; say what would go, and why the others stay.") var dryRun = false
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let installation = try state.installation()
            let answer = try await ControlClient.orchestrator(installation).json(
                "POST", "/v1/berth/images/collect", .record(("dry_run", .bool(dryRun))), seconds: 600)
            if output.json { return Output.json(answer) }
            let (gone, kept) = (answer["removed"]?.arrayValue ?? [], answer["kept"]?.arrayValue ?? [])
            Output.table(
                ["IMAGE", "SOURCE", "OWN", "WHAT", "WHY"],
                gone.map { [Images.short($0), $0.cell("title"), Bytes.text($0["own_bytes"]?.intValue ?? 0), dryRun ? "would go" : "removed", "nobody needs it"] }
                    + kept.map { [Images.short($0), $0.cell("title"), Bytes.text($0["own_bytes"]?.intValue ?? 0), "stays", Images.why($0)] })
            let layers = answer["layers"]?.intValue ?? 0
            Output.line(
                "\(dryRun ? "would remove" : "removed") \(Count.text(gone.count, "image")) and \(Count.text(layers, "layer")) "
                    + "(\(Bytes.text(answer["bytes"]?.intValue ?? 0)))")
        }
    }
}
