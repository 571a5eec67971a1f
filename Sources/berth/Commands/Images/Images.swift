import AuthorCommands
import JSONText
import Wire

/// What the orchestrator knows of images, with the connectors that the gateway knows.
enum Images {
    /// - Parameter image: a digest, or the beginning of one.
    static func path(_ image: String) -> String { "/v1/berth/images/\(URLPath.segment(image.hasPrefix("sha256:") ? String(image.dropFirst(7)) : image))" }

    static func all(_ installation: Installation) async throws -> [JSONValue] {
        let answer = try await ControlClient.orchestrator(installation).get("/v1/berth/images")
        // The orchestrator knows its images without the gateway.
        let connectors = (try? await connectors(installation)) ?? []
        return (answer["images"]?.arrayValue ?? []).map { naming(connectors, of: $0) }
    }

    /// The digests of all images that are here.
    static func present(_ installation: Installation) async throws -> Set<String> {
        let answer = try await ControlClient.orchestrator(installation).get("/v1/berth/images")
        return Set((answer["images"]?.arrayValue ?? []).compactMap { $0["digest"]?.stringValue })
    }

    /// Every connector.
    static func connectors(_ installation: Installation) async throws -> [JSONValue] {
        try await ControlClient.gateway(installation).get("/api/v1/connectors")["connectors"]?.arrayValue ?? []
    }

    /// The image with the names of the connectors that are made of it; one from before that was kept gets its source of them too.
    static func naming(_ connectors: [JSONValue], of image: JSONValue) -> JSONValue {
        guard var members = image.objectValue else { return image }
        let own = connectors.filter { $0["image"]?.stringValue == image["digest"]?.stringValue }
        members["connectors"] = .strings(own.compactMap { $0["name"]?.stringValue })
        if members["title"]?.stringValue == nil, let source = own.first?["source"]?.stringValue { members["title"] = .string(source) }
        return .object(members)
    }

    /// The digest that a word means: a connector's image, else what the orchestrator makes of it.
    static func digest(of word: String, _ installation: Installation) async throws -> String {
        let connectors: [JSONValue]
        do {
            connectors = try await Self.connectors(installation)
        } catch {
            guard isDigest(word) else { throw error }
            return word
        }
        if let connector = connectors.first(where: { $0["name"]?.stringValue == word }) {
            guard let digest = connector["image"]?.stringValue else {
                throw Failure("the connector \(word) has no image yet", hint: "berth connector list\(installation.stateOption)")
            }
            return digest
        }
        guard isDigest(word) else {
            let near = Suggestion.text(for: word, among: connectors.compactMap { $0["name"]?.stringValue })
            throw Failure(
                "\(Printable.line(word)) is neither a connector nor a digest of an image", hint: near ?? "berth image list\(installation.stateOption)", code: 64)
        }
        return word
    }

    /// Or the beginning of one.
    private static func isDigest(_ word: String) -> Bool {
        let digits = word.hasPrefix("sha256:") ? word.dropFirst(7) : word[...]
        return !digits.isEmpty && digits.unicodeScalars.allSatisfy { ("0"..."9").contains($0) || ("a"..."f").contains($0) }
    }

    /// As a person types it.
    static func short(_ image: JSONValue) -> String { String(image.cell("digest").dropFirst(7).prefix(12)) }

    /// A digest is cut.
    static func version(_ image: JSONValue) -> String {
        let version = image.cell("version")
        return version.hasPrefix("sha256:") ? String(version.prefix(19)) : version
    }

    static func machines(_ image: JSONValue) -> [JSONValue] { (image["uses"]?.arrayValue ?? []).filter { $0["machine"]?.stringValue != nil } }

    static func names(_ names: JSONValue?) -> String {
        let names = (names?.arrayValue ?? []).compactMap(\.stringValue)
        return names.isEmpty ? "-" : names.joined(separator: ", ")
    }

    /// Why an image stays.
    static func why(_ image: JSONValue) -> String {
        let machines = machines(image)
        if let first = machines.first {
            let owner = first["connector"]?.stringValue ?? first.cell("app")
            return machines.count == 1 ? "machine \(first.cell("machine")) of \(owner)" : "\(machines.count) machines of \(owner)"
        }
        if let use = image["uses"]?.arrayValue?.first { return "the next machine of \(use.cell("app")) may be made of it" }
        return "built within the last hour"
    }
}
