import ArgumentParser
import AuthorCommands
import Gateway
import Glibc
import JSONText
import Wire

/// `berth audit`
struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "audit", abstract: "The log of every call.", subcommands: [Tail.self, Verify.self])

    struct Tail: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "The last rows: who, when, tool, arguments, result, outcome, machine, latency.")
        @Option(name: [.customShort("n"), .customLong("lines")], help: ArgumentHelp("How many rows.", valueName: "n")) var lines = 20
        @Flag(name: [.short, .long], help: "Go on with new rows as they come.") var follow = false
        @Option(help: ArgumentHelp("Rows of this method alone, for example tools/call.", valueName: "method")) var method: String?
        @Option(name: .customLong("for"), help: ArgumentHelp("Rows of this principal alone.", valueName: "principal")) var principal: String?
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func run() async throws {
            guard (1...100_000).contains(lines) else { throw Failure("--lines \(lines) is out of range", hint: "1 to 100000", code: 64) }
            let gateway = try ControlClient.gateway(state.installation())
            try await checkFilters(gateway)
            let path = AuditText.path(last: lines, method: method, principal: principal, follow: follow)
            try await gateway.lines("GET", path) { row in
                output.json ? Output.json(row) : AuditText.print(row)
                // What follows would never end by itself.
                guard Output.isRead else { throw ExitCode(0) }
            }
        }

        /// A filter that is mistyped finds nothing, and says so.
        private func checkFilters(_ gateway: ControlClient) async throws {
            if let method, !AuditMethods.known.contains(method), try await !hasRow(gateway, method: method) {
                let near = Suggestion.text(for: method, among: AuditMethods.known)
                throw Failure("no row has the method \(method), which is neither MCP's nor Berth's", hint: near ?? "for example tools/call")
            }
            if let principal, try await !hasRow(gateway, principal: principal) {
                let names = try await gateway.get("/api/v1/tokens")["tokens"]?.arrayValue?.compactMap { $0["principal"]?.stringValue } ?? []
                if names.contains(principal) { return }
                let near = Suggestion.text(for: principal, among: names)
                Output.note("no row and no token is of \(Printable.line(principal)) — \(near ?? "berth token list")")
            }
        }

        private func hasRow(_ gateway: ControlClient, method: String? = nil, principal: String? = nil) async throws -> Bool {
            var isFound = false
            try await gateway.lines("GET", AuditText.path(last: 1, method: method, principal: principal)) { _ in isFound = true }
            return isFound
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check the hash chain of every row from the first one; exit 1 and the first broken row if one does not hold.")
        @Option(help: ArgumentHelp("An audit log that was moved away, instead of the state's.", valueName: "dir")) var directory: String?
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func run() async throws {
            try Rights.needRoot("the journal is readable by root and the gateway alone")
            let path = try directory ?? state.installation().gatewayState + "/audit"
            let isRead = AuditVerification.holdsRows(directory: path)
            guard isRead else {
                let hint = directory == nil ? "give the right --state" : "give the directory with its .rows files"
                throw Failure("\(path) holds no audit log", hint: hint)
            }
            let report = try AuditVerification.verify(directory: path)
            let rows = report.chains.reduce(0) { $0 + $1.rows }
            if output.json {
                Output.json(
                    .record(
                        ("intact", .bool(report.isIntact)), ("rows", .int(rows)), ("missing_payloads", .int(report.missingPayloads)),
                        (
                            "chains",
                            .array(
                                report.chains.map {
                                    .record(("chain", .string($0.chain)), ("rows", .int($0.rows)), ("last_hash", .string($0.lastHash)))
                                })
                        ),
                        (
                            "broken",
                            report.firstBroken.map {
                                .record(
                                    ("chain", .string($0.chain)), ("segment", .int($0.segment)), ("line", .int($0.line)),
                                    ("reason", .string($0.reason)))
                            }
                        )))
            } else if let broken = report.firstBroken {
                Output.line("chain \(broken.chain), segment \(broken.segment), line \(broken.line): \(broken.reason)")
            } else {
                let gone = report.missingPayloads == 0 ? "" : "; the arguments and results of \(Count.text(report.missingPayloads, "row")) are gone"
                Output.line("\(Count.text(rows, "row")) in \(Count.text(report.chains.count, "chain")): every hash holds\(gone)")
                for chain in report.chains { Output.line("  \(chain.chain)  \(Count.text(chain.rows, "row"))  last hash \(chain.lastHash)") }
            }
            if !report.isIntact { throw ExitCode(1) }
        }
    }
}
