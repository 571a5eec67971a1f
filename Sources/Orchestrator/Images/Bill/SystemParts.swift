/// Packages of the distribution that a root is made of, from its package manager's own list.
struct SystemParts {
    /// `debian`, `ubuntu`, `alpine`, and its release as `bookworm` or `3.20`.
    var distribution: String
    var release: String?

    /// - Parameter osRelease: `/etc/os-release`.
    init(osRelease: String, otherwise distribution: String) {
        var fields: [Substring: String] = [:]
        for line in osRelease.split(whereSeparator: \.isNewline) {
            let pair = line.split(separator: "=", maxSplits: 1)
            if pair.count == 2 { fields[pair[0]] = pair[1].filter { $0 != "\"" && $0 != "'" } }
        }
        func plain(_ text: String?) -> String? { text.flatMap { PartName.isVersion($0) ? $0.lowercased() : nil } }
        self.distribution = plain(fields["ID"]) ?? distribution
        release = plain(fields["VERSION_CODENAME"]) ?? plain(fields["VERSION_ID"])
    }

    /// `/var/lib/dpkg/status`: stanzas of fields.
    func debian(_ text: String, atMost limit: Int = 20_000) -> [BillOfMaterials.Component] {
        stanzas(text, separator: ": ", of: ["Status", "Package", "Version", "Architecture"], atMost: limit).compactMap { fields in
            guard fields["Status"].map({ $0.hasSuffix(" installed") }) ?? true, let name = fields["Package"], let version = fields["Version"]
            else { return nil }
            return component("deb", name, version, fields["Architecture"])
        }
    }

    /// A root of which only its copyright files tell what is in it: names alone.
    func documented(_ names: [String]) -> [BillOfMaterials.Component] { names.compactMap { component("deb", $0, nil, nil) } }

    /// `/lib/apk/db/installed`: stanzas of one-letter fields.
    func alpine(_ text: String, atMost limit: Int = 20_000) -> [BillOfMaterials.Component] {
        stanzas(text, separator: ":", of: ["P", "V", "A", "L"], atMost: limit).compactMap { fields in
            guard let name = fields["P"], let version = fields["V"], var component = component("apk", name, version, fields["A"]) else { return nil }
            component.licenses = fields["L"].flatMap(LicenseText.expression).map { [$0] }
            return component
        }
    }

    private func component(_ type: String, _ name: String, _ version: String?, _ architecture: String?) -> BillOfMaterials.Component? {
        guard PartName.isName(name), version.map(PartName.isVersion) ?? true else { return nil }
        let architecture = architecture.flatMap { PartName.isName($0) ? $0 : nil }
        let distro = release.map { "\(distribution)-\($0)" }
        let purl = PackageURL.system(type, distribution, name, version, architecture: architecture, release: distro)
        var component = BillOfMaterials.Component(type: .library, ref: purl, name: name, version: version)
        component.purl = purl
        return component
    }

    /// - Parameters:
    ///   - names: the only fields that are wanted.
    ///   - limit: of stanzas; those behind them are passed over.
    private func stanzas(_ text: String, separator: String, of names: Set<String>, atMost limit: Int) -> [[String: String]] {
        var (all, fields): ([[String: String]], [String: String]) = ([], [:])
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            if line.isEmpty {
                if !fields.isEmpty { all.append(fields) }
                fields = [:]
                guard all.count < limit else { return all }
            } else if line.first != " ", line.first != "\t", let range = line.firstRange(of: separator) {
                let key = String(line[..<range.lowerBound])
                if names.contains(key), fields[key] == nil { fields[key] = String(line[range.upperBound...]).trimmingBlanks }
            }
        }
        if !fields.isEmpty { all.append(fields) }
        return all
    }
}
