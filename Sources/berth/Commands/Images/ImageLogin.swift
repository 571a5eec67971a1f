import ArgumentParser
import AuthorCommands
import FoundationEssentials
import JSONText
import Wire

extension ImageCommand {
    struct Login: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keep a user and a password for a registry, with which --oci fetches images; without one, list who is logged in where.",
            discussion: """
                The password is asked for, or read from standard input or a file; it is sealed in the database, and given to nothing but the build \
                machine that fetches an image of that registry. It goes to the registry and to the token service that the registry names.
                """)
        @Argument(help: ArgumentHelp("HOST or HOST:PORT, as in front of the name of an image.", valueName: "registry")) var registry: String?
        @Option(help: "The user.") var user: String?
        @Option(help: ArgumentHelp("A file with the password.", valueName: "file")) var passwordFile: String?
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func validate() throws {
            if registry == nil, user != nil || passwordFile != nil { throw ValidationError("--user and --password-file belong to a registry: name it") }
            if registry != nil, user == nil { throw ValidationError("--user is missing") }
        }

        func run() async throws {
            let client = ControlClient.orchestrator(try state.installation())
            guard let registry else {
                let answer = try await client.get("/v1/berth/registries")
                if output.json { return Output.json(answer) }
                return Output.table(
                    ["REGISTRY", "USER"], (answer["registries"]?.arrayValue ?? []).map { [$0.cell("registry"), Printable.line($0.cell("user"))] })
            }
            let password: String
            if let passwordFile {
                guard let data = FileManager.default.contents(atPath: passwordFile), data.count <= 64 << 10, let text = String(bytes: data, encoding: .utf8)
                else {
                    throw Failure("the password cannot be read from \(passwordFile)", hint: "name a text file of 64 KiB at most", code: 64)
                }
                password = text.last?.isNewline == true ? String(text.dropLast()) : text
            } else {
                password = try Secrets.values(["password"])["password"] ?? ""
            }
            let answer = try await client.json(
                "PUT", "/v1/berth/registries",
                .record(("registry", .string(registry)), ("user", user.map { .string($0) }), ("password", .string(password))))
            output.json ? Output.json(answer) : Output.line("\(answer.cell("registry")): images are fetched as \(Printable.line(answer.cell("user")))")
        }
    }

    struct Logout: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Forget the user and the password of a registry; images that are here stay.")
        @Argument(help: "HOST or HOST:PORT, as it was given to login.") var registry: String
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func run() async throws {
            let answer = try await ControlClient.orchestrator(try state.installation()).json(
                "DELETE", "/v1/berth/registries?registry=\(URLPath.segment(registry))")
            output.json ? Output.json(answer) : Output.line("forgot the login of \(answer.cell("removed"))")
        }
    }
}
