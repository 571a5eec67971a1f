import ArgumentParser
import AuthorCommands
import JSONText
import Wire

/// `berth connector`
struct ConnectorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connector", abstract: "Hosted MCP servers: add, list, show, update, rebuild, rollback, remove.",
        subcommands: [Add.self, List.self, Show.self, Update.self, Rebuild.self, Rollback.self, Remove.self])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Build, start and probe a server; ready when it has listed its tools.")
        @OptionGroup var connector: Named
        @OptionGroup var definition: Definition
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let installation = try state.installation()
            let body = try await definition.body(connector.name, installation)
            try await Provisioning.run("POST", "/api/v1/connectors", body, installation, json: output.json)
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change what is given and keep the rest; the old machine serves until the new one has answered.",
            discussion: """
                Lists (--arg, --env, --constraint) are replaced as a whole where given. The image stays, without a build or an upload, unless \
                --pypi, --dir, --constraint, --no-constraints or --reset is given (--pypi again looks for a newer version), or after -- another \
                program of the image by its bare name. A folder is read again only with --dir, and its requirements with --requirements.
                """)
        @OptionGroup var connector: Named
        @OptionGroup var definition: Definition
        @OptionGroup var change: Change
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let installation = try state.installation()
            let body = try await definition.body(connector.name, installation, change: change)
            try await Provisioning.run("PATCH", "/api/v1/connectors/\(URLPath.segment(connector.name))", body, installation, json: output.json)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One connector: its tools and what it is started with.")
        @Argument(help: "Name of the connector.") var name: String
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation()).get("/api/v1/connectors/\(URLPath.segment(name))")
            // A connector without an image yet has no app.
            let hasApp = answer["image"]?.stringValue != nil
            let refused = hasApp ? try? await EgressReport(ofApp: answer.cell("app"), state.installation()) : nil
            if hasApp, refused == nil { Output.note("the orchestrator does not say what was refused") }
            let doctor = try? await ControlClient.orchestrator(state.installation()).get("/v1/berth/doctor")
            let running = try? await ControlClient.orchestrator(state.installation()).get("/v1/berth/running")
            let short = running?["short"]?.arrayValue?.first { $0.cell("app") == answer.cell("app") }
            let processes = try? await ProcessReport(of: name, state.installation())
            if output.json {
                guard var members = answer.objectValue else { return Output.json(answer) }
                if let refused {
                    members["egress_refused"] = .array(refused.rows)
                    members["egress_refused_others"] = .int(refused.others)
                    members["egress_reached"] = .array(refused.reached)
                    members["egress_reached_others"] = .int(refused.reachedOthers)
                }
                if let short { members["short"] = short }
                if let processes { members["server"] = processes.json }
                return Output.json(.object(members))
            }
            func list(_ key: String) -> String? {
                guard let items = answer[key]?.arrayValue, !items.isEmpty else { return nil }
                return items.map { $0.stringValue ?? $0.text }.joined(separator: " ")
            }
            let environment = answer["env"]?.objectValue?.members.map { "\($0.key)=\($0.value.stringValue ?? "")" }.sorted().joined(separator: " ")
            let rows: [(String, String?)] = [
                ("Name", answer.cell("name")), ("State", answer.cell("state")),
                ("Processes", processes.map { $0.line ?? "none: the next call starts one" } ?? "their agent does not tell"),
                ("Source", answer.cell("source")),
                ("With", list("with")), ("Constraints", list("constraints")), ("Python", answer["python"]?.stringValue),
                ("Command", list("command")), ("Arguments", list("args")), ("Environment", environment), ("Secrets", list("secrets")),
                ("Limits", "\(answer.cell("memory_mb")) MiB, \(answer["hosting"]?.cell("cpus") ?? "-") processors, \(answer.cell("pids")) processes and threads"),
                ("Profile", ProfileText.line(answer["hosting"], doctor)), ("Runtime", answer["hosting"]?["runtime"]?.stringValue),
                ("Transport", answer["http"]?.stringValue.map { "Streamable HTTP at http://127.0.0.1:\($0) of its machine" } ?? "STDIO"),
                ("Era", answer.cell("era") == "auto" ? nil : answer.cell("era")),
                ("Egress", list("egress") ?? (list("egress_private") == nil ? "none: no network" : nil)), ("  private", list("egress_private")),
                ("Isolation", LifeText.isolation(answer["life"])), ("  short", short.map(ShortageLine.text)), ("Idle", LifeText.idle(answer["life"])),
                ("Updates", LifeText.updates(answer["life"])),
                ("Image", answer.cell("image") + (answer["image_bytes"]?.intValue.map { ", \(($0 + 500_000) / 1_000_000) MB of its own" } ?? "")),
                ("Packages", list("packages")),
            ]
            for (title, text) in rows {
                if let text, !text.isEmpty { Output.line(title.padded(to: 12) + Printable.line(text)) }
            }
            Output.line("")
            Output.table(
                ["TOOL", "DESCRIPTION"],
                (answer["tools"]?.arrayValue ?? []).map { tool in
                    [tool.cell("name"), String(Printable.line(tool["description"]?.stringValue ?? "").prefix(100))]
                })
            let versions = answer["versions"]?.arrayValue ?? []
            if versions.count > 1 {
                let images = try? await Images.present(state.installation())
                Output.line("")
                Output.table(
                    ["VERSION", "IMAGE", "SOURCE", "MADE", "BY"],
                    versions.map { version in
                        let isHere = images?.contains(version.cell("image")) ?? true
                        return [
                            version.cell("version") + (version["serving"]?.boolValue == true ? " serves" : ""),
                            String(version.cell("image").dropFirst(7).prefix(12)) + (isHere ? "" : " (gone)"), version.cell("source"),
                            Time.text(milliseconds: version["made_at"]?.intValue ?? 0), version.cell("why"),
                        ]
                    })
            }
            refused?.show()
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All connectors.")
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation()).get("/api/v1/connectors")
            if output.json { return Output.json(answer) }
            Output.table(
                ["NAME", "STATE", "TOOLS", "SOURCE", "IMAGE"],
                (answer["connectors"]?.arrayValue ?? []).map { row in
                    [row.cell("name"), row.cell("state"), row.cell("tools"), row.cell("source"), String(row.cell("image").prefix(19))]
                })
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Destroy a connector's machines and forget it, its secrets too.")
        @Argument(help: "Name of the connector.") var name: String
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation()).json("DELETE", "/api/v1/connectors/\(URLPath.segment(name))")
            output.json ? Output.json(answer) : Output.line("removed \(name)")
        }
    }
}
