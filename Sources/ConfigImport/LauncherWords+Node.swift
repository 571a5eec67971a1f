extension LauncherWords {
    private static let npxOptions: [(spellings: String, kind: Options.Kind)] = [
        ("--package -p", .value), ("--call -c", .refused("write the program itself, and each word of its line into args")),
        ("--registry", .refused("packages come from the one registry that this host builds from: berth up --npm-registry URL")),
        (
            "--yes -y --no --quiet -q --silent -s --prefer-online --prefer-offline --ignore-existing --bun --no-install --verbose --no-update-notifier --force -f",
            .ignored
        ),
        ("--loglevel --cache --workspace -w --prefix --node-options -n --userconfig", .ignoredWithValue),
    ]

    /// `npx [-y] [-p PACKAGE] NAME …`
    func npx(_ rest: inout Options) throws(Refusal) -> Launch {
        let packages = try rest.take(Self.npxOptions).filter { $0.name == "--package" }.map(\.value.text)
        guard packages.count <= 1 else { throw Refusal("npx is given several packages", "name the server's own alone") }
        let first = try rest.next("package").text
        let spec = try Self.package(packages.first ?? first)
        var launch = Launch(source: .npm(spec), arguments: rest.words, launcher: .node)
        if packages.first != nil, first != Self.program(of: spec) { launch.command = [first] }
        return launch
    }

    /// `npm exec`, `pnpm dlx`, `yarn dlx`, `bun x`.
    func npm(_ program: String, _ rest: inout Options) throws(Refusal) -> Launch {
        let verb = try rest.next("command").text
        guard ["exec", "x", "dlx"].contains(verb) else {
            throw Refusal("\(program) \(Looks.brief(verb, 32)) runs a project of the client's host", "name its package, if it has one: npx -y PACKAGE")
        }
        // `npm exec NAME -- …`: behind the dashes come the server's own.
        var launch = try npx(&rest)
        if program == "npm", let index = launch.arguments.firstIndex(where: { $0.text == "--" }) { launch.arguments.remove(at: index) }
        return launch
    }

    private static func package(_ text: String) throws(Refusal) -> String {
        let name = text.hasPrefix("@") ? text.dropFirst().drop { $0 != "/" }.dropFirst() : text[...]
        guard !text.contains(":"), !name.contains("/"), !text.hasPrefix("."), !text.hasPrefix("/"), !text.hasSuffix(".tgz"), !name.isEmpty,
            !text.contains(where: \.isWhitespace)
        else {
            throw Refusal("npx starts something that is no package of the registry", "name a package: NAME, NAME@1.2.3 or @SCOPE/NAME")
        }
        return text
    }

    /// What a package's program is called when nobody says so.
    private static func program(of spec: String) -> String {
        let name = spec.hasPrefix("@") ? spec.split(separator: "/", maxSplits: 1).last ?? "" : spec[...]
        return String(name.prefix { $0 != "@" })
    }
}
