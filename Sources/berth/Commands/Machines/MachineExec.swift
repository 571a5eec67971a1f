import ArgumentParser
import AuthorCommands
import Glibc
import JSONText

extension MachinesCommand {
    struct Exec: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run a command in a machine that is started; ends as the command does.",
            discussion: """
                Needs berth up --exec. The command runs as a user that nobody else in the machine has, without the server's environment, \
                secrets and processes, within the machine's limits; all of it ends with it. 1 MiB of each of its outputs is shown. The audit \
                log gets its words before it runs: give secrets by --stdin. Ends with 124 when its time is over.
                """)
        @Option(help: ArgumentHelp("How long it may run before it is ended (default 60, at most 600).", valueName: "seconds")) var timeout: Int?
        @Flag(help: "Hand this command's standard input on, up to 256 KiB.") var stdin = false
        @OptionGroup var verb: MachineVerb
        @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.") var command: [String] = []

        func validate() throws {
            guard !command.isEmpty else { throw ValidationError("the command is missing: berth machines exec MACHINE -- COMMAND") }
            guard timeout.map((1...600).contains) ?? true else { throw ValidationError("--timeout is 1 to 600 seconds") }
        }

        func run() async throws {
            let installation = try verb.state.installation()
            let machine = try await MachineTarget.find(verb.machine, installation)
            let body = JSONValue.record(
                ("command", .strings(command)), ("timeout", timeout.map { .int($0) }), ("stdin", stdin ? .string(try Self.input()) : nil))
            let answer = try await ControlClient.orchestrator(installation).json(
                "POST", "\(machine.path)/exec", body, seconds: Int64(timeout ?? 60) + 60)
            if verb.output.json {
                Output.json(answer)
            } else {
                Self.show(answer["stdout"], on: 1)
                Self.show(answer["stderr"], on: 2)
            }
            if answer["berth"]?["ended"]?.stringValue == "timeout" {
                if !verb.output.json { Output.note("its time was over, and it was ended") }
                throw ExitCode(124)
            }
            if let code = answer["exit_code"]?.intValue, code != 0 { throw ExitCode(Int32(clamping: code)) }
        }

        private static func input() throws -> String {
            let limit = 256 << 10
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 64 << 10)
            while bytes.count <= limit {
                let count = read(0, &chunk, chunk.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { break }
                bytes += chunk.prefix(count)
            }
            guard bytes.count <= limit else { throw Failure("standard input has more than 256 KiB", hint: "less of it", code: 64) }
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw Failure("standard input is no UTF-8", hint: "base64, and decode it in the machine", code: 64)
            }
            return text
        }

        /// As the command wrote it; to a terminal without what would steer it.
        private static func show(_ text: JSONValue?, on descriptor: Int32) {
            guard let text = text?.stringValue, !text.isEmpty else { return }
            var bytes = Array((isatty(descriptor) == 1 ? Printable.text(text) : text).utf8)[...]
            while !bytes.isEmpty {
                let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { return }
                bytes = bytes.dropFirst(count)
            }
        }
    }
}
