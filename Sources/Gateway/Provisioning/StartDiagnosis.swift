/// What a server's standard error says about why it does not start.
enum StartDiagnosis {
    /// - Parameter packages: `name==version` of everything in the image.
    static func hint(stderr: String, packages: [String]) -> String {
        // The SDK's version 2 dropped what servers of version 1 import and decorate with.
        let sdk = packages.first { $0.hasPrefix("mcp==") }?.dropFirst("mcp==".count)
        let isBroken = ["AttributeError", "ImportError", "ModuleNotFoundError", "TypeError"].contains { stderr.contains($0) }
        if let sdk, isBroken, let major = sdk.split(separator: ".").first.flatMap({ Int($0) }), major >= 2 {
            return "its code does not fit mcp \(sdk): add --constraint 'mcp<2'"
        }
        if isBroken { return "a dependency may be too new for it: pin an older one with --constraint" }
        return "its standard error is above; --arg, --env and --secret give what it may miss"
    }
}
