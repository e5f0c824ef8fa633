# Pages and sketches to copy. web/site in the build folder is what `./dev run` serves: these files, and MQTT.js from npm.
web_examples = README.md index.html style.css mqtt.html mqtt.js events.html events.js publish.html publish.js
web_examples_esp32 = esp32/esp32.ino
web_examples_micropython = micropython/main.py

examplesdir = $(pkgdatadir)/examples
examples_esp32dir = $(examplesdir)/esp32
examples_micropythondir = $(examplesdir)/micropython
dist_examples_DATA = $(addprefix web/examples/,$(web_examples))
dist_examples_esp32_DATA = $(addprefix web/examples/,$(web_examples_esp32))
dist_examples_micropython_DATA = $(addprefix web/examples/,$(web_examples_micropython))

# ./dev deps installs what package-lock.json pins into build/npm: beside this build folder, or in it.
web_mqttjs = $(firstword $(wildcard $(builddir)/npm/node_modules/mqtt/dist/mqtt.min.js \
	$(builddir)/../npm/node_modules/mqtt/dist/mqtt.min.js))

all-local: web-site
.PHONY: web-site
web-site:
	$(AM_V_at)for file in $(web_examples) $(web_examples_esp32) $(web_examples_micropython); do \
		cmp -s "$(srcdir)/web/examples/$$file" "web/site/$$file" && continue; \
		$(MKDIR_P) "web/site/$$(dirname "$$file")" && cp "$(srcdir)/web/examples/$$file" "web/site/$$file" || exit 1; \
	done
	$(AM_V_at)if test -n "$(web_mqttjs)"; then \
		cmp -s "$(web_mqttjs)" web/site/mqtt.min.js || cp "$(web_mqttjs)" web/site/mqtt.min.js && \
		cp "$$(dirname "$(web_mqttjs)")/../LICENSE.md" web/site/mqtt.LICENSE.md; \
	fi

install-data-hook:
	for file in mqtt.min.js mqtt.LICENSE.md; do \
		test ! -f "web/site/$$file" || $(INSTALL_DATA) "web/site/$$file" "$(DESTDIR)$(examplesdir)/$$file" || exit 1; \
	done

uninstall-hook:
	rm -f "$(DESTDIR)$(examplesdir)/mqtt.min.js" "$(DESTDIR)$(examplesdir)/mqtt.LICENSE.md"

clean-local:
	rm -rf web/site
