import AuthorCommands
import ConfigImport
import Glibc
import JSONText

/// What a file's placeholders stand for: what `--secret` gives, then this command's environment, then who sits at the terminal.
struct ImportValues {
    private(set) var known: [Placeholder: String] = [:]
    /// Nobody has said what these are.
    private(set) var missing: [Placeholder] = []
    /// Taken from this command's own environment.
    private(set) var fromEnvironment: [String] = []

    /// Values that one file may leave open.
    private static let maximum = 256
    private static let tooMany = Failure(
        "the file leaves more than \(maximum) values open", hint: "import some of its servers: --only SERVER", code: 64)

    /// - Parameters:
    ///   - given: of `--secret`, by name.
    ///   - asks: somebody can be asked.
    init(of file: ImportFile, given: [String: String], asks: Bool) throws {
        var wanted: [Placeholder] = []
        for server in file.servers where !server.isDisabled {
            guard case .process(let process) = server.start else { continue }
            let needs = process.needs
            guard needs.count <= Self.maximum else { throw Self.tooMany }
            for need in needs where !wanted.contains(need) { wanted.append(need) }
            guard wanted.count <= Self.maximum else { throw Self.tooMany }
        }
        for (name, value) in given { for kind in [Placeholder.Kind.environment, .input] { known[Placeholder(kind, name)] = value } }
        if let stranger = given.keys.sorted().first(where: { name in !wanted.contains { $0.name == name } }) {
            throw Failure(
                "--secret \(stranger): the file leaves no such value open", hint: Suggestion.text(for: stranger, among: wanted.map(\.name)), code: 64)
        }
        for placeholder in wanted where known[placeholder] == nil {
            let input = placeholder.kind == .input ? file.inputs.first { $0.id == placeholder.name } : nil
            if placeholder.kind == .environment, let value = getenv(placeholder.name).map({ String(cString: $0) }), !value.isEmpty {
                known[placeholder] = value
                fromEnvironment.append(placeholder.name)
            } else if asks {
                known[placeholder] = try Self.ask(placeholder, input)
            } else if let standard = input?.standard, input?.isSecret == false {
                known[placeholder] = standard
            } else {
                missing.append(placeholder)
            }
        }
    }

    private static func ask(_ placeholder: Placeholder, _ input: ImportFile.Input?) throws -> String {
        // The file's own words are quoted: they must not look like another program's question.
        let said = input.map { $0.description == placeholder.name ? "" : " (the file says: \($0.description))" } ?? ""
        let what = Printable.line("value of \(placeholder.text)\(said)")
        var value: String
        if input?.isSecret == false {
            Output.prompt("\(what)\(input?.standard.map { " [\(Printable.line($0))]" } ?? ""): ")
            value = readLine(strippingNewline: true) ?? ""
            if value.isEmpty { value = input?.standard ?? "" }
        } else {
            value = try Secrets.ask(what)
        }
        guard !value.isEmpty else { throw Failure("the value of \(placeholder.name) is empty", hint: "give a value") }
        return value
    }
}
